# The first stage makes the virtual environment; the second is the image: no pip, no compiler, no tests.
FROM ghcr.io/home-assistant/base-debian:trixie-2026.08.0 AS build

ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip python3-setuptools python3-venv

WORKDIR /build
COPY requirements.txt ./
RUN python3 -m venv --without-pip /opt/jkbms \
    && python3 -m pip --python /opt/jkbms/bin/python3 install \
        --no-cache-dir --only-binary :all: --require-hashes --requirement requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY jkbms_addon ./jkbms_addon
# built with Debian's own setuptools, so that nothing comes in without a hash
RUN python3 -m pip wheel --no-cache-dir --no-build-isolation --no-deps --no-index --wheel-dir /wheel . \
    && python3 -m pip --python /opt/jkbms/bin/python3 install --no-cache-dir --no-deps --no-index /wheel/*.whl


FROM ghcr.io/home-assistant/base-debian:trixie-2026.08.0

ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates iproute2 python3 tzdata \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log

COPY --from=build /opt/jkbms /opt/jkbms
COPY run.sh /run.sh
# a new volume takes this over; anybody may be the user of a plain container. Home Assistant puts its own folder here
RUN mkdir --mode 1777 /data
ENV PATH=/opt/jkbms/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /

# The main loop touches the file every 10 s. Whether a battery answers is not asked: no restart would help.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD find /dev/shm/jkbms-heartbeat -mmin -1 2>/dev/null | grep -q .

ENTRYPOINT ["/run.sh"]

# the Supervisor passes the version when it builds locally
ARG BUILD_VERSION=dev
LABEL io.hass.type="app" \
    io.hass.arch="aarch64|amd64" \
    io.hass.version="${BUILD_VERSION}" \
    org.opencontainers.image.title="JK BMS" \
    org.opencontainers.image.description="Jikong (JK) battery management systems on RS485, CAN, UART and Bluetooth, as devices over MQTT" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${BUILD_VERSION}"
