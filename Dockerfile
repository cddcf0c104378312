# The worker and the `retire` command; target `sandbox` has the made-up services of the demo instead.
# The Python is the one that the tests run on.
FROM python:3.11.14-slim-bookworm AS python

FROM python AS packages
WORKDIR /src
RUN python -m venv /opt/retirement
ENV PATH=/opt/retirement/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Before the code, so that a change of code installs nothing again.
COPY requirements/postgresql.txt requirements/s3.txt requirements/sandbox.txt requirements/
RUN pip install --require-hashes -r requirements/postgresql.txt
RUN pip install --require-hashes -r requirements/s3.txt
COPY . .
# All it needs is there already, the build backend included.
RUN pip install --no-build-isolation --no-deps .

FROM packages AS sandbox-packages
RUN pip install --require-hashes -r requirements/sandbox.txt

FROM python AS user
# Of another host's users, none has this number. The keys' folder is there, with its owner, for the volume to take over.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin retirement \
    && install -d -o retirement -g retirement -m 0700 /var/lib/retirement/keys
ENV PATH=/opt/retirement/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /var/lib/retirement
USER 10001:10001

FROM user AS sandbox
COPY --from=sandbox-packages /opt/retirement /opt/retirement
ENTRYPOINT ["python", "-m"]

# Last, and therefore what `docker build .` makes.
FROM user AS worker
COPY --from=packages /opt/retirement /opt/retirement
ENTRYPOINT ["retire"]
CMD ["worker"]
