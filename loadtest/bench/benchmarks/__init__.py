"""What is measured: each module has one benchmark or several of a kind, and answers figures."""
