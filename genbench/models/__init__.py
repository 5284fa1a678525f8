"""Models: what one can do, how it is opened, kept, trained, drawn from, checked and begun."""
