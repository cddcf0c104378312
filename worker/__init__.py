"""The worker process: settings, connection, runtime, health, main."""
