/** `PUT /uploads/…`: the bytes of a file that was announced, as they are. What broke off goes on: `HEAD` says in `Upload-Offset`
 * where, and `Content-Range: bytes <offset>-<last>/<all>` that it does, with `*` for the range where nothing is missing. */
import type { App } from "../app.ts";
import { AppError } from "../errors.ts";
import { parseContentRange } from "../lib/byte_ranges.ts";
import { encodeId } from "../lib/ids.ts";
import { readUploadLink, type UploadLink } from "../uploads/links.ts";
import { findTransferState, OffsetMismatch, receiveTransfer, type Sending } from "../uploads/transfers.ts";
import { answer } from "./answers.ts";

/** For the one whom the link was made for. */
export function answerUpload(app: App, request: Request): Promise<Response> {
  return answer(app, request, {
    HEAD: async (_request, url) => {
      const { offset, byteSize } = await findTransferState(app, requireLink(app, url));
      const headers = {
        "upload-offset": String(offset),
        "upload-length": String(byteSize),
        "cache-control": "no-store",
      };
      return new Response(null, { headers });
    },
    PUT: async (sent, url) => {
      const link = requireLink(app, url);
      try {
        const { status, isNew } = await receiveTransfer(app, link, readSending(sent));
        const attachmentId = encodeId("attachment", link.attachmentId);
        return Response.json({ attachmentId, status }, { status: isNew ? 201 : 200 });
      } catch (error) {
        if (!(error instanceof OffsetMismatch)) throw error;
        const { message, offset } = error;
        const headers = { "upload-offset": String(offset) };
        return Response.json({ error: { code: "INVALID_INPUT", message } }, { status: 409, headers });
      }
    },
  });
}

/** Throws FORBIDDEN. */
function requireLink(app: App, url: URL): UploadLink {
  const link = readUploadLink(app, url);
  if (link) return link;
  throw new AppError("FORBIDDEN", "Cannot take the file: the link has expired or was changed; announce it again");
}

/** Throws INVALID_INPUT. */
function readSending({ headers, body }: Request): Sending {
  const [range, length] = [headers.get("content-range"), headers.get("content-length")];
  const part = range === null ? null : parseContentRange(range);
  if (range !== null && part === null) {
    throw new AppError("INVALID_INPUT", "Cannot take the file: `Content-Range` takes `bytes <first>-<last>/<all>`");
  }
  return { body, part, contentLength: length === null ? null : Number(length) };
}
