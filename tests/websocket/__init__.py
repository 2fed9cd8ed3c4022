"""The GraphQL socket and the single event stream, as a client meets them."""
