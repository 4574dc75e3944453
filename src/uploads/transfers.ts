/** The bytes of files that were announced: they come in one request or in several, each going on where the last one was safe,
 * on whatever node. Of two at once the later one goes on. */
import type { App } from "../app.ts";
import { AppError, isRefusal } from "../errors.ts";
import type { ByteRange } from "../lib/byte_ranges.ts";
import type { Progress } from "../platform/files.ts";
import { type Member, requireMember } from "../rooms/members.ts";
import { requirePermission } from "../rooms/permissions.ts";
import { acceptTransfer, type Claim, discardTransfer } from "./transfer_claims.ts";
import type { AttachmentStatus } from "./attachments.ts";
import { statusOf, uploadKey } from "./files.ts";
import type { Inspection } from "./inspection.ts";
import type { UploadLink } from "./links.ts";
import { meterBody, moreThanAnnounced } from "./metered_body.ts";
import { inspectStored } from "./receiving.ts";

/** What a request says that it sends. */
export interface Sending {
  readonly body: ReadableStream<Uint8Array> | null;
  /** `null`: the whole file, from the beginning. */
  readonly part: { readonly range: ByteRange | null; readonly byteSize: number } | null;
  /** `null`: not said. */
  readonly contentLength: number | null;
}

export interface Received {
  /** FAILED where that was found out since. */
  readonly status: AttachmentStatus;
  /** Whether it was this request that brought the end of it. */
  readonly isNew: boolean;
}

/** The request does not begin where the last one was safe, or another one has taken over. */
export class OffsetMismatch extends Error {
  constructor(
    /** Where to go on. */
    readonly offset: number,
  ) {
    super(`Cannot take the file: it goes on at byte ${offset}`);
  }
}

export interface TransferState {
  /** Bytes that are safe. */
  readonly offset: number;
  /** Bytes of the whole file. */
  readonly byteSize: number;
}

type Link = Omit<UploadLink, "expires">;

/** How much of the file is there. Throws NOT_FOUND, NOT_A_MEMBER, FORBIDDEN. */
export async function findTransferState(app: App, link: Link): Promise<TransferState> {
  const { transfer } = await requireTransfer(app, link);
  return { offset: offsetOf(transfer), byteSize: transfer.byteSize };
}

/** Stores what comes, and where that is the end of the file, takes it or refuses it for good; what was taken before is
 * answered again. Throws OffsetMismatch; NOT_FOUND, NOT_A_MEMBER, FORBIDDEN, RATE_LIMITED; FILE_TOO_LARGE, INVALID_INPUT,
 * EMPTY, UNSUPPORTED_MEDIA_TYPE; UNAVAILABLE. */
export async function receiveTransfer(app: App, link: Link, sending: Sending): Promise<Received> {
  await app.limits.take("transfer", link.viewerId);
  const { transfer, member } = await requireTransfer(app, link);
  const accepted = acceptedOf(transfer);
  if (accepted) return { status: accepted, isNew: false };
  const start = requireFit(transfer, sending);
  const claim = { attachmentId: transfer.id, fileId: transfer.fileId, transferId: crypto.randomUUID() };
  const from = sending.part === null ? await beginAnew(app, claim) : await goOn(app, claim, start);
  if (from === undefined) return await outcomeOfOther(app, link);
  try {
    const body = meterBody(sending.body, { byteSize: transfer.byteSize - start });
    const onSafe = (progress: Progress) => keepProgress(app, claim, progress);
    await app.files.store(uploadKey(claim.fileId), body, { from, onSafe });
  } catch (error) {
    throw await explainBreak(app, link, { claim, error });
  }
  const inspection = await inspect(app, transfer, claim);
  if (!await acceptTransfer(app, member, { claim, inspection })) return await outcomeOfOther(app, link);
  return { status: statusOf(inspection.mediaKind), isNew: true };
}

interface TransferRow {
  /** Of the attachment. */
  readonly id: string;
  readonly fileId: string;
  readonly roomId: string;
  readonly filename: string;
  readonly status: "INCOMING" | AttachmentStatus;
  readonly byteSize: number;
  readonly progress: Progress | null;
  readonly transferId: string | null;
}

async function requireTransfer(
  app: App,
  { attachmentId, viewerId }: Link,
): Promise<{ readonly transfer: TransferRow; readonly member: Member }> {
  const [transfer] = await app.sql<TransferRow[]>`
    select attachments.id, attachments.file_id, attachments.room_id, attachments.filename,
      files.status, files.byte_size, files.progress, files.transfer_id
    from attachments
    join files on files.id = attachments.file_id
    join users on users.id = attachments.uploader_id
    where attachments.id = ${attachmentId}
      and attachments.uploader_id = ${viewerId}
      and files.status <> 'DELETING'
      and users.suspended_at is null
      and users.deleted_at is null`;
  if (transfer === undefined) throw noSuchTransfer();
  const member = await requireMember(app, { userId: viewerId }, transfer.roomId);
  if (transfer.status === "INCOMING") requirePermission(member, "ATTACH_FILES", "roomId");
  return { transfer, member };
}

function offsetOf({ status, byteSize, progress }: TransferRow): number {
  return status === "INCOMING" ? progress?.byteSize ?? 0 : byteSize;
}

function acceptedOf({ status }: TransferRow): AttachmentStatus | null {
  return status === "INCOMING" ? null : status;
}

/** Where the request begins, if what it says of itself fits the file. Throws FILE_TOO_LARGE, INVALID_INPUT. */
function requireFit({ byteSize }: TransferRow, { part, contentLength }: Sending): number {
  const { range, byteSize: told } = part ?? { range: { start: 0, end: byteSize }, byteSize };
  if (told > byteSize) throw moreThanAnnounced(byteSize);
  if (told < byteSize) throw unfit(`it was announced with ${byteSize} bytes, not ${told}`);
  const { start, end } = range ?? { start: byteSize, end: byteSize };
  if (end !== byteSize) throw unfit("`Content-Range` does not reach to the end");
  if (contentLength === null || contentLength === end - start) return start;
  if (part === null && contentLength > byteSize) throw moreThanAnnounced(byteSize);
  throw unfit(`${end - start} bytes are to come, and \`Content-Length\` says ${contentLength}`);
}

/** Takes over from whatever request there was, and forgets what came of it. `undefined` where nothing is awaited. */
async function beginAnew(app: App, { fileId, transferId }: Claim): Promise<null | undefined> {
  const [begun] = await app.sql<{ former: Progress | null }[]>`
    update files
    set transfer_id = ${transferId},
      progress = null
    from (select id, progress from files where id = ${fileId} for update) as before
    where files.id = before.id
      and files.status = 'INCOMING'
    returning before.progress as former`;
  if (begun?.former) await app.files.abandon(uploadKey(fileId), begun.former);
  return begun && null;
}

/** Takes over from whatever request there was, with what was safe of it. `undefined` where that is not so much. */
async function goOn(app: App, { fileId, transferId }: Claim, start: number): Promise<Progress | null | undefined> {
  const [claimed] = await app.sql<{ progress: Progress | null }[]>`
    update files
    set transfer_id = ${transferId}
    where id = ${fileId}
      and status = 'INCOMING'
      and coalesce((progress ->> 'byteSize')::bigint, 0) = ${start}
    returning progress`;
  return claimed?.progress;
}

/** Throws OffsetMismatch where another request has taken over. */
async function keepProgress(app: App, { fileId, transferId }: Claim, progress: Progress): Promise<void> {
  const [kept] = await app.sql`
    update files
    set progress = ${app.sql.json({ ...progress })}
    where id = ${fileId}
      and status = 'INCOMING'
      and transfer_id = ${transferId}
    returning id`;
  if (kept === undefined) throw new OffsetMismatch(progress.byteSize);
}

/** What it is that has come, if it is taken; else nothing is left of it. */
async function inspect(app: App, { filename, byteSize }: TransferRow, claim: Claim): Promise<Inspection> {
  try {
    const inspection = await inspectStored(app, claim.fileId, filename);
    if (inspection.byteSize === byteSize) return inspection;
    throw unfit(`it has ${inspection.byteSize} bytes, and was announced with ${byteSize}`);
  } catch (error) {
    if (isRefusal(error)) await discardTransfer(app, claim);
    throw error;
  }
}

/** What the broken transfer was up against: another request, or a storage that has lost what was safe. */
async function explainBreak(
  app: App,
  link: Link,
  { claim, error }: { readonly claim: Claim; readonly error: unknown },
): Promise<unknown> {
  const isLost = error instanceof AppError && error.code === "NOT_FOUND";
  if (isLost) {
    await app.sql`
      update files
      set progress = null
      where id = ${claim.fileId}
        and status = 'INCOMING'
        and transfer_id = ${claim.transferId}`;
  }
  const { transfer } = await requireTransfer(app, link);
  const isMine = transfer.transferId === claim.transferId && !isLost;
  return isMine ? error : new OffsetMismatch(offsetOf(transfer));
}

/** Why nothing was claimed or accepted; returns where another request has done it all. */
async function outcomeOfOther(app: App, link: Link): Promise<Received> {
  const { transfer } = await requireTransfer(app, link);
  const status = acceptedOf(transfer);
  if (status === null) throw new OffsetMismatch(offsetOf(transfer));
  return { status, isNew: false };
}

function noSuchTransfer(): AppError {
  return new AppError("NOT_FOUND", "Cannot find the upload: nothing is awaited here, or it was refused");
}

function unfit(state: string): AppError {
  return new AppError("INVALID_INPUT", `Cannot take the file: ${state}`);
}
