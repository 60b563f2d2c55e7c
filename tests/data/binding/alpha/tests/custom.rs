//! A target that libtest does not drive: whatever starts it leaves a file behind.

fn main() {
    std::fs::write("custom-was-run", "").expect("the folder can be written");
}
