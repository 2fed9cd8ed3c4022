"""What every provider must do, whatever it is made of."""
