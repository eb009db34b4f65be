# One image for every program of Aerie: `docker run … aerie bot`, `… agent`, `… migrate`, `… doctor`.
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE}
# the bot runs as this user; docker-compose.agent.yml asks for root, which Docker's socket and the games' files need
RUN useradd --system --uid 989 --user-group --home-dir /var/lib/aerie --create-home aerie
# the agent parts servers from the machine by its firewall
RUN command -v iptables > /dev/null || { apt-get update && apt-get install --yes --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*; }
WORKDIR /opt/aerie
# what changes seldom comes first: a new version of Aerie copies its own files and fetches nothing
COPY requirements.lock .
RUN python -m pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY . .
USER aerie
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "-m", "aerie"]
CMD ["--help"]
