# The official image: one pinned binary, an unprivileged user `deno` and tini, which hands signals on to the server. That
# of npm would bring Node and a package manager along to start the same binary.
FROM denoland/deno:2.9.6

WORKDIR /app
# Only what the server reads. Without a .dockerignore the rest of the checkout must not get in.
COPY deno.json deno.lock ./
COPY migrations migrations
COPY schema schema
COPY src src
COPY workers workers
# As the lock file says, or not at all; the roots that an operator calls are cached as well.
RUN deno cache src/main.ts workers/main.ts workers/image_worker.ts src/cli/migrate.ts src/cli/role.ts src/cli/seed.ts \
  && mkdir /data && chown deno:deno /data

USER deno
# DATA_DIR is for files where there is no S3, and for the embedded database.
ENV HOST=0.0.0.0 PORT=4000 DATA_DIR=/data
EXPOSE 4000
STOPSIGNAL SIGTERM
# Image workers are processes of their own, hence `--allow-run`; a worker apart from the server is the same image with
# `workers/main.ts` at the end of this command.
# `deno task start`, offline and with the files of the server alone; without a shell in between the signal arrives.
CMD ["run", "--no-prompt", "--cached-only", "--allow-net", "--allow-env", "--allow-read=/app,/data,/deno-dir", "--allow-write=/data", "--allow-run=deno", "src/main.ts"]
