import os

from conan import ConanFile
from conan.tools.files import copy


class BadmConan(ConanFile):
    name = "badm"
    version = "0.2.0"
    license = "MIT OR Unlicense"
    homepage = "https://arxiv.org/abs/2407.01640"
    description = "Neural networks that train themselves inside your C or C++ program, in one C99 header"
    topics = ("neural-network", "training", "autodiff", "admm", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    exports_sources = "badm.h", "LICENSE"
    no_copy_source = True

    def package(self):
        copy(self, "badm.h", src=self.source_folder, dst=os.path.join(self.package_folder, "include"))
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))

    def package_id(self):
        self.info.clear()

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "badm")
        self.cpp_info.set_property("cmake_target_name", "badm::badm")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
