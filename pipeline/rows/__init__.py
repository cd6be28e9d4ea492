"""What travels through storage: `staging` is where payloads wait for whoever writes them."""
