"""What a client can say: GraphQL types, Query, Mutation and Subscription. No work is done here."""
