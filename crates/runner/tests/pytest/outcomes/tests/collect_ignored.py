raise AssertionError("never imported: --ignore")
