//! A file's chat template: messages in, one text with special tokens out.
//!
//! Templates are programs from a stranger's file. They run in a sandbox without access to anything, and on limited fuel.

use super::Error;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A compiled template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// Steps that a template may take: far more than any conversation needs, a second or so at most.
const FUEL: u64 = 10_000_000;
const NAME: &str = "chat";

impl ChatTemplate {
    pub(super) fn new(source: &str, bos: String, eos: String) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // As the authors of the templates render them.
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(|e| Error::Chat(line(&e)))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_template_owned(NAME, source.to_owned()).map_err(|e| Error::Chat(line(&e)))?;
        Ok(Self { environment, bos, eos })
    }

    /// The text of a conversation, ready for the assistant's next turn.
    ///
    /// # Errors
    /// When the template refuses the messages.
    pub fn render(&self, messages: &[Message]) -> Result<String, Error> {
        self.environment
            .get_template(NAME)
            .and_then(|t| {
                t.render(context! {
                    messages => messages.iter().map(value).collect::<Value>(),
                    add_generation_prompt => true,
                    bos_token => self.bos.as_str(),
                    eos_token => self.eos.as_str(),
                })
            })
            .map_err(|e| Error::Chat(line(&e)))
    }
}

fn value(message: &Message) -> Value {
    Value::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())])
}

/// The message on one line.
fn line(error: &minijinja::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{ChatTemplate, Message};

    fn messages() -> Vec<Message> {
        [("system", "Be brief."), ("user", " Hi ")]
            .map(|(role, content)| Message { role: role.into(), content: content.into() })
            .into()
    }

    fn render(source: &str) -> Result<String, String> {
        ChatTemplate::new(source, "<s>".into(), "</s>".into())
            .and_then(|t| t.render(&messages()))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn templates_see_messages_and_tokens() {
        let source = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m.content.strip() }}\n{% endfor %}\
            {% if add_generation_prompt %}[assistant]{% endif %}{{ eos_token }}";
        assert_eq!(render(source).unwrap(), "<s>[system]Be brief.\n[user]Hi\n[assistant]</s>");
        let newer = "{% set ns = namespace(n=0) %}{% for m in messages[::-1] %}{% set ns.n = ns.n + 1 %}\
            {{ loop.index0 }}{{ m.role | upper }}{% if m.content.startswith(' ') %}*{% endif %}{% endfor %}{{ ns.n }}";
        assert_eq!(render(newer).unwrap(), "0USER*1SYSTEM2");
    }

    #[test]
    fn a_template_that_refuses_or_never_ends_is_an_error_of_one_line() {
        let refuses = render("{{ raise_exception('roles must\nalternate') }}").unwrap_err();
        assert!(refuses.contains("roles must alternate") && !refuses.contains('\n'), "{refuses}");
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}";
        assert!(render(endless).unwrap_err().contains("fuel"), "{:?}", render(endless));
        assert!(render("{% for %}").unwrap_err().starts_with("chat template: syntax error"));
    }
}
