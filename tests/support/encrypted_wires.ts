/** The way to a Postgres through TLS, for a server that has none itself. */
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { createServer } from "node:tls";

/** For tests alone, of nobody. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUcD0p/Jo1scE3E/atOKRSiEIxg7UwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjA2NDY0M1oYDzIxMjYxMDI5
MDY0NjQzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATVcXFobE0xA3PoYTlrjjLHHmGvYIl9A16E/cy6phhMtRXlLaZgG3/a
nUhT3Q9tTGUBzeTp/FEfZwQcs2DOT7Iqo1MwUTAdBgNVHQ4EFgQU8xSP/Jvb8x4s
XbkoANCqxFQRiycwHwYDVR0jBBgwFoAU8xSP/Jvb8x4sXbkoANCqxFQRiycwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiADsly4S2yjWhRAaw31+AI/
jk9+NVUEEALeBKD1oIcu3wIhAKrsa8J1gRGl++BwaMFTYD6DMzF6CNGZ2TFS9BSG
iuTt
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0HEo15z93To2vt48
q5FzccWVE1mr/5YqQVvu20bY1jqhRANCAATVcXFobE0xA3PoYTlrjjLHHmGvYIl9
A16E/cy6phhMtRXlLaZgG3/anUhT3Q9tTGUBzeTp/FEfZwQcs2DOT7Iq
-----END PRIVATE KEY-----`;

export interface EncryptedWire extends AsyncDisposable {
  readonly port: number;
}

/** Takes TLS from the first byte on, and passes what is in it to the port. */
export async function encryptTo(port: number): Promise<EncryptedWire> {
  const server = createServer({ key: KEY, cert: CERTIFICATE, ALPNProtocols: ["postgresql"] }, (client) => {
    const database = connect(port, "127.0.0.1");
    client.pipe(database).pipe(client);
    for (const [end, other] of [[client, database], [database, client]] as const) {
      end.on("error", () => {}); // `close` follows
      end.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}
