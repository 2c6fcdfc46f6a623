"""What many tasks on one backbone take to answer, beside other ways of serving them."""
