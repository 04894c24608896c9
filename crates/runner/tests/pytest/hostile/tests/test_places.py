import os
import shutil


def test_change_directory(tmp_path):
    os.chdir(tmp_path)


def test_delete_directory(tmp_path):
    os.chdir(tmp_path)
    shutil.rmtree(tmp_path)


def test_after():
    pass
