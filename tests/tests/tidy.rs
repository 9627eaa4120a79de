//! The rules of ARCHITECTURE.md, held by a program.

use weir_tests::{codegen, repository};

#[test]
fn generated_code_is_up_to_date() {
    for (path, text) in codegen::generate(&repository()) {
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
            std::fs::write(&path, text).expect("generated code can be written");
        } else {
            let held = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(held == text, "{} is out of date; run with UPDATE=1", path.display());
        }
    }
}
