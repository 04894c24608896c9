raise AssertionError("never imported: norecursedirs")
