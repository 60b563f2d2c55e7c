use contract::Loaded;
use contract::legacy;
use contract::walk::Dialect;
use contract::yaml::Node;
use crate::lint::{Check, Sink};

rule! {
    /// A legacy reference carries a version or a remark beside the name it refers to.
    ///
    /// ## Why is this bad?
    /// The remark grows old beside the name. Only the first word is read.
    ///
    /// ## Example
    /// ```yaml
    /// depends_on: ['trace-v1 v1.4.0 (sibling, DRAFT)']
    /// ```
    ///
    /// ## Instead
    /// ```yaml
    /// depends_on: [trace-v1]   # sibling
    /// ```
    "decorated-reference", Note, &[Check::File(check)]
}

fn check(loaded: &Loaded, sink: &mut Sink<'_>) {
    if loaded.dialect != Dialect::Legacy {
        return;
    }
    let depends_on = loaded.tree.as_ref().and_then(|tree| tree.at("/metadata/depends_on"));
    for reference in depends_on.map(Node::items).unwrap_or_default() {
        let Some(text) = reference.text() else { continue };
        let bare = legacy::bare_name(text);
        if bare != text {
            sink.add(&loaded.source, reference.span, format!("read as `{bare}`; the rest is a remark"))
                .help("move the remark into a comment");
        }
    }
}
