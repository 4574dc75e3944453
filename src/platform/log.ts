/** Structured log: one JSON object a line on standard error, which is never mixed with what a command prints. */

const LEVELS = { debug: 10, info: 20, warn: 30, error: 40 } as const;
export type LogLevel = keyof typeof LEVELS;
type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

export function createLog(level: LogLevel): Log {
  const encoder = new TextEncoder();
  const at = (lineLevel: LogLevel) => (message: string, fields: Fields = {}) => {
    if (LEVELS[lineLevel] < LEVELS[level]) return;
    const line = { time: new Date().toISOString(), level: lineLevel, message, ...fields };
    try {
      Deno.stderr.writeSync(encoder.encode(JSON.stringify(line, describeErrors) + "\n"));
    } catch { /* nobody reads the log any more: no reason to stop serving */ }
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function describeErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { name: value.name, message: value.message, stack: value.stack, cause: value.cause };
}
