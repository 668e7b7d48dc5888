"""A local Service Bus: AMQP 1.0 for the azure-servicebus client, and the rules behind it."""
