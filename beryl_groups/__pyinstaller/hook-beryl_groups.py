"""The hook: Alembic reads the migrations from files, and they say what they import."""  # noqa: N999 - PyInstaller goes by this name

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

datas = collect_data_files("beryl_groups.migrations", include_py_files=True)
datas += copy_metadata("beryl_groups")  # the command line tells its version from it
hiddenimports = collect_submodules("beryl_groups.migrations")
