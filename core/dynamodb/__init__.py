"""The two DynamoDB tables: schema, statements, reads, indexes."""
