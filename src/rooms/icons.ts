/** Pictures that a room or a person is about to show: taken only while they are there. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import type { Fragment } from "../platform/sql.ts";

/** Select of the picture, locked, so that nobody deletes it until it is shown; no row where that has begun. */
export function lockPicture({ sql }: App, fileId: string | null): Fragment {
  return sql`
    select id
    from files
    where id = ${fileId}
      and purpose = 'PICTURE'
      and status = 'READY'
    for no key update of files`;
}

/** The client has gone, or nobody took it in time. */
export function pictureGone(): AppError {
  return new AppError("UNAVAILABLE", "Cannot use the picture: it is not there any more, send it again");
}
