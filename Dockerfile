# The app in a container: `docker build .` for processors, `docker build --build-arg DEVICE=cuda .` for NVIDIA GPUs.
# What goes in beside the packages is named in .dockerignore. docs/deploy.md says how to run it.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS packages
ARG DEVICE=cpu
COPY requirements.txt .
# The usual build of torch brings the libraries of CUDA, several GB; the one for processors is published apart.
RUN python -m venv /opt/telltale \
    && if [ "$DEVICE" = cpu ]; then export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; fi \
    && /opt/telltale/bin/pip install --no-cache-dir -r requirements.txt

FROM python:${PYTHON}
# What OpenCV and MediaPipe are linked against.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /data --create-home telltale
COPY --from=packages /opt/telltale /opt/telltale
COPY . /app
WORKDIR /app
ENV PATH=/opt/telltale/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TELLTALE_DATA=/data \
    TELLTALE_LOG_FORMAT=json \
    GRADIO_SERVER_NAME=0.0.0.0
# By number, so that an orchestrator can see that it is not root. Nothing is written but below /data.
USER 1000:1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=8)"]
CMD ["python", "app.py"]
