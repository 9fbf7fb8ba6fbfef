# One gonk-node. Nothing is downloaded while building: run `npm ci` first, the ready node_modules is copied in
# (.dockerignore leaves out what only development needs).
ARG BASE_IMAGE=node:24-bookworm-slim
FROM ${BASE_IMAGE}

WORKDIR /app
COPY scripts/stubs ./scripts/stubs
COPY node_modules ./node_modules
COPY package.json ./
COPY bin ./bin
COPY src ./src

# User 1000 is `node` in the official images. A new volume takes over the owner of /data.
RUN install -d -o 1000 -g 1000 -m 0700 /data \
  && chmod 0755 bin/gonk-node.js \
  && ln -s /app/bin/gonk-node.js /usr/local/bin/gonk-node
USER 1000:1000

ENV NODE_ENV=production GONK_HOME=/data
VOLUME /data
# 4050: other peers. 5050: page and API, on the loopback address of the container unless told otherwise.
EXPOSE 4050 5050

HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:5050/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

ENTRYPOINT ["node", "/app/bin/gonk-node.js"]
CMD ["start", "--listen", "/ip4/0.0.0.0/tcp/4050"]
