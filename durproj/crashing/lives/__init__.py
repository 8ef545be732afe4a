"""Lives: runs of one store that are killed, one after another, and what they leave."""
