"""Who has which sandbox: the one way to borrow one, and to give it back."""
