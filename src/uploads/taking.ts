/** Taking a file that came in: it is counted for the quota of its owner, and taken once, in the statement that makes something of
 * it. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";
import { type FilePurpose, statusOf } from "./files.ts";
import type { Inspection } from "./inspection.ts";

/** Select of the file that came in, locked; none where it was taken already, or the client has gone. */
export function lockIncoming({ sql }: App, userId: string, fileId: string): Fragment {
  return sql`
    select id
    from files
    where id = ${fileId}
      and owner_id = ${userId}
      and status = 'INCOMING'
    for update`;
}

/** Update that counts the bytes for the user of the part `actor`, and returns the `id`; no row where they don't fit. */
export function chargeQuota({ sql, config }: App, byteSize: number): Fragment {
  return sql`
      update users
      set stored_bytes = stored_bytes + ${byteSize}
      from actor
      where users.id = actor.user_id
        and stored_bytes + ${byteSize} <= ${config.uploadQuotaBytes}
      returning users.id`;
}

/** Update that takes the file of the part `incoming`, if the part `charged` has counted it, and returns its `id`. A picture is
 * nobody's until it is shown. */
export function takeIncoming(
  { sql }: App,
  purpose: FilePurpose,
  { byteSize, mediaType, mediaKind, sha256 }: Inspection,
): Fragment {
  return sql`
    update files
    set status = ${statusOf(mediaKind)},
      purpose = ${purpose},
      byte_size = ${byteSize},
      media_type = ${mediaType},
      sha256 = ${sha256},
      unused_since = ${purpose === "ATTACHMENT" ? null : sql`unused_since`}
    from charged, incoming
    where files.id = incoming.id
    returning files.id`;
}

/** Why a file was not taken: it is not there any more (what `lockIncoming` selects), or too much. */
export async function explainUntaken(app: App, incoming: Fragment): Promise<AppError> {
  const [there] = await app.sql`${incoming}`;
  return there === undefined
    ? new AppError("INVALID_INPUT", "Cannot take the file: it is taken already")
    : quotaExceeded(app);
}

/** For a request whose files are not read yet. Throws QUOTA_EXCEEDED for one who can upload nothing more. */
export async function requireQuota(app: App, userId: string): Promise<void> {
  const [full] = await app.sql`
    select
    from users
    where id = ${userId}
      and stored_bytes >= ${app.config.uploadQuotaBytes}`;
  if (full !== undefined) throw quotaExceeded(app);
}

export function quotaExceeded({ config }: App): AppError {
  const limit = config.uploadQuotaBytes;
  return new AppError("QUOTA_EXCEEDED", `Cannot take the file: all of yours would have more than ${limit} bytes`, {
    limit,
  });
}
