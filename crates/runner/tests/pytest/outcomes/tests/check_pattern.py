def test_by_python_files():
    pass
