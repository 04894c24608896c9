def test_deep(from_subdir):
    pass
