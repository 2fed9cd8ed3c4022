"""What a field does: plain async functions that every door calls. No strawberry and no starlette here."""
