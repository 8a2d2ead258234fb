"""How good a model is for what came after it; without Spark. Imports no other room."""
