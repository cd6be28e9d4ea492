"""Real engines and stores for the tests: how to get them, start them and stop them again."""
