"""What a stream folds to: the built-in reducers, and how reducers are found and told apart."""
