"""The one way to connect to Temporal, for worker and commands."""

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

from worker.converter import DATA_CONVERTER


class ConnectionFailed(Exception):
    """Temporal could not be reached. The text says where it was looked for and what to do."""


async def connect(*, runtime: Runtime | None = None) -> Client:
    """Connect as the environment says (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, TLS, API key).

    Raises:
        ConnectionFailed: with the address and what to do.
    """
    config = ClientConfig.load_client_connect_config()
    address = config.get("target_host") or "localhost:7233"
    config["target_host"] = address
    try:
        return await Client.connect(**config, data_converter=DATA_CONVERTER, runtime=runtime)
    except RuntimeError:
        raise ConnectionFailed(
            f"Temporal does not answer at {address}. Start it, or set TEMPORAL_ADDRESS (or TEMPORAL_PROFILE) to where it runs."
        ) from None
