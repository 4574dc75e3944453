/** Password hashes: scrypt from `node:crypto` (N=2^15, r=8, p=3: 32 MiB and about 0.2 s each) as PHC strings. */
import { Buffer } from "node:buffer";
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { AppError } from "../errors.ts";
import { countCharacters } from "../lib/texts.ts";
import { Turns } from "../lib/turns.ts";

const LOG2_N = 15;
const BLOCK_SIZE = 8;
const PARALLELISM = 3;
const HASH_BYTES = 32;

/** Hashes at once, and callers who wait for one: 64 MiB at most, and nobody waits longer than a login form would. */
const RUNNING_MAX = 2;
const WAITING_MAX = 32;

const PASSWORD_CHARACTERS_MIN = 10;
/** A bound on what is hashed; far above what people or password managers use. */
const PASSWORD_CHARACTERS_MAX = 256;

/** Throws WEAK_PASSWORD, TOO_LONG. */
export function requireStrongPassword(field: string, password: string, username: string): string {
  const characters = countCharacters(password);
  if (characters > PASSWORD_CHARACTERS_MAX) {
    throw new AppError("TOO_LONG", `Cannot use the password: the limit is ${PASSWORD_CHARACTERS_MAX} characters`, {
      path: [field],
      limit: PASSWORD_CHARACTERS_MAX,
    });
  }
  const isWeak = characters < PASSWORD_CHARACTERS_MIN || new Set(password).size < 4 ||
    password.toLowerCase().includes(username);
  if (isWeak) {
    const rule = `it takes ${PASSWORD_CHARACTERS_MIN} characters, 4 different ones, and not your handle`;
    throw new AppError("WEAK_PASSWORD", `Cannot use the password: ${rule}`, { path: [field] });
  }
  return password;
}

/** `$scrypt$ln=15,r=8,p=3$<salt>$<hash>`. Throws UNAVAILABLE when too many are waiting. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt);
  return `$scrypt$ln=${LOG2_N},r=${BLOCK_SIZE},p=${PARALLELISM}$${base64(salt)}$${base64(hash)}`;
}

/** Takes as long for an unknown account (`phc` is null) as for a wrong password. A deleted account's hash is empty: no
 * password opens it. Throws UNAVAILABLE. */
export async function verifyPassword(phc: string | null, password: string): Promise<boolean> {
  const [, , , salt = "", hash = ""] = (phc || NOBODY).split("$");
  const derived = await derive(password, Buffer.from(salt, "base64"));
  return timingSafeEqual(derived, Buffer.from(hash, "base64")) && Boolean(phc);
}

const NOBODY = `$scrypt$ln=${LOG2_N},r=${BLOCK_SIZE},p=${PARALLELISM}$${base64(randomBytes(16))}$${
  base64(randomBytes(HASH_BYTES))
}`;

function base64(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}

const turns = new Turns(RUNNING_MAX);

async function derive(password: string, salt: Buffer): Promise<Buffer> {
  if (turns.waiting >= WAITING_MAX) {
    throw new AppError("UNAVAILABLE", "Cannot check the password: too many others are waiting", { retryAfterMs: 2000 });
  }
  const options = { N: 2 ** LOG2_N, r: BLOCK_SIZE, p: PARALLELISM, maxmem: 64 * 1024 * 1024 };
  return await turns.take(() =>
    new Promise<Buffer>((resolve, reject) =>
      scrypt(
        password.normalize("NFKC"),
        salt,
        HASH_BYTES,
        options,
        (error, key) => error ? reject(error) : resolve(key),
      )
    )
  );
}
