/** A WebSocket client that asks and never reads: its window fills up, and the server is left with what it wants to send. */
import type { Api, Person, TestRoom } from "./app.ts";
import { ROOM_EVENTS } from "./follow.ts";
import { PROTOCOL } from "./sockets.ts";

export class SilentSocket implements Disposable {
  private constructor(private readonly connection: Deno.TcpConn) {}

  /** Follows the room, on a connection from which nothing is read after `connection_ack`. */
  static async follow({ url }: Api, as: Person, room: Pick<TestRoom, "id">): Promise<SilentSocket> {
    const { hostname, port, host, pathname } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const lines = [
      `GET ${pathname} HTTP/1.1`,
      `Host: ${host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${btoa("sixteen bytes it")}`,
      `Sec-WebSocket-Protocol: ${PROTOCOL}`,
    ];
    await connection.write(new TextEncoder().encode([...lines, "", ""].join("\r\n")));
    await readSome(connection);
    await connection.write(frame({ type: "connection_init", payload: { token: as.token } }));
    await readSome(connection);
    const payload = { query: ROOM_EVENTS, variables: { roomId: room.id } };
    await connection.write(frame({ id: "silent", type: "subscribe", payload }));
    return new SilentSocket(connection);
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

async function readSome(connection: Deno.TcpConn): Promise<void> {
  if (await connection.read(new Uint8Array(4096)) === null) throw new Error("The server has hung up");
}

/** A text frame of 126 to 65,535 bytes as clients send it: masked, here with zeros (RFC 6455, section 5.2). */
function frame(message: object): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(message));
  return new Uint8Array([0x81, 0x80 | 126, text.length >> 8, text.length & 0xff, 0, 0, 0, 0, ...text]);
}
