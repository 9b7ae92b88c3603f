"""Proofs that take longer than a test may: what ``scripts/prove`` runs, and what tests borrow."""
