/** Answers that their clients do not read: each would keep a file or a connection to the storage open for ever. */

/** Passes bytes on as they are asked for. Where nobody asks for more within that time the body ends, and its source is canceled:
 * the connection takes as much as it has room for, so its peer has read too little to make some. How long the source itself
 * takes does not count. Only for an answer with a `Content-Length`, by which its client knows that this was not all. */
export function endUnread(body: ReadableStream<Uint8Array>, unreadMsMax: number): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isCanceled = false;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      clearTimeout(timer);
      const { value, done } = await reader.read();
      if (isCanceled) return;
      if (done) return controller.close();
      timer = setTimeout(() => {
        controller.close(); // an error would be logged as one of the server
        reader.cancel().catch(() => {}); // it is of no use any more, whatever it says
      }, unreadMsMax);
      controller.enqueue(value); // last: whoever waits for it may cancel at once
    },
    async cancel(reason) {
      isCanceled = true;
      clearTimeout(timer);
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
