"""The tests of ``bench``, interchangeable: what each must have is said in ``lodiag.benches``."""
