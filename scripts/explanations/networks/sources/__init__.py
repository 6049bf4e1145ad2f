"""Where networks come from, one module for each source; registry.py names them, base.py says what each can do."""
