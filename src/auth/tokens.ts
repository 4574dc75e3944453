/** Access tokens: short-lived JWTs (RFC 7519, HS256) that any node can check without the database. */
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { revocations } from "./revocations.ts";
import type { Viewer } from "./viewer.ts";

const ISSUER = "parley";
const AUDIENCE = "parley";
const TYPE = "at+jwt"; // RFC 9068

const Claims = z.object({
  sub: z.uuid(),
  sid: z.uuid(),
  role: z.enum(["USER", "ADMIN"]),
  exp: z.number(),
});

export interface AccessToken {
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
}

export async function signAccessToken(
  app: App,
  { userId, sessionId, role }: Pick<Viewer, "userId" | "sessionId" | "role">,
): Promise<AccessToken> {
  const seconds = Math.floor(Date.now() / 1000) + app.config.accessTokenTtlSeconds;
  const accessToken = await new SignJWT({ sid: sessionId, role })
    .setProtectedHeader({ alg: "HS256", typ: TYPE })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(userId)
    .setIssuedAt()
    .setExpirationTime(seconds)
    .sign(new TextEncoder().encode(app.jwtSecret));
  return { accessToken, accessTokenExpiresAt: new Date(seconds * 1000) };
}

/** Throws UNAUTHENTICATED for a token that is malformed, unsigned, foreign, expired or of an ended session. */
export async function verifyAccessToken(app: App, token: string): Promise<Viewer> {
  const claims = await readClaims(app, token);
  if (app.once(revocations).isRevoked(claims.sid)) {
    throw new AppError("UNAUTHENTICATED", "Cannot sign in: the session has ended");
  }
  return { userId: claims.sub, sessionId: claims.sid, role: claims.role, expiresAtMs: claims.exp * 1000 };
}

async function readClaims(app: App, token: string): Promise<z.infer<typeof Claims>> {
  try {
    // Without each of these, jose accepts a token that lacks the claim or was made for something else.
    const { payload } = await jwtVerify(token, new TextEncoder().encode(app.jwtSecret), {
      algorithms: ["HS256"],
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: TYPE,
      requiredClaims: ["exp", "sub", "sid", "iat"],
    });
    return Claims.parse(payload);
  } catch (error) {
    const state = error instanceof errors.JWTExpired ? "the access token has expired" : "the access token is not valid";
    throw new AppError("UNAUTHENTICATED", `Cannot sign in: ${state}`, { cause: error });
  }
}
