"""The kind rabbitmq."""
