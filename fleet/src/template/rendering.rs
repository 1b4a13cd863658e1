//! The text that each host gets, or why there is none.
//!
//! Values in, texts out. Must not know what hosts are, nor where the texts go.

use std::collections::HashMap;

use fleet_tool::cli::Failure;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::names::Context;

/// A template, and where it was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// The texts, each once, and which of them each host gets. `name` tells what a host is called.
///
/// # Errors
/// When the template is none, or names what is not there for some host.
pub(super) fn render(
    source: &Source,
    context: &Context,
    name: impl Fn(usize) -> String,
) -> Result<(Vec<String>, Vec<usize>), Failure> {
    let environment = environment()?;
    let template = environment.template_from_named_str(&source.path, &source.text);
    let template = template.map_err(|error| Failure::usage_text(place(source, &error)))?;
    let (mut numbers, mut of_hosts): (HashMap<String, usize>, _) = (HashMap::new(), Vec::new());
    for host in 0..context.hosts() {
        let values = context.of(host);
        let text = template.render(&values).map_err(|error| {
            let failure = Failure::usage_text(format!("{}, for {}", place(source, &error), name(host)));
            match error.kind() {
                ErrorKind::UndefinedError => failure.hint(known(source, &error, &environment, &values, context)),
                _ => failure,
            }
        })?;
        let next = numbers.len();
        of_hosts.push(*numbers.entry(text).or_insert(next));
    }
    let mut texts: Vec<(String, usize)> = numbers.into_iter().collect();
    texts.sort_unstable_by_key(|(_, number)| *number);
    Ok((texts.into_iter().map(|(text, _)| text).collect(), of_hosts))
}

/// The syntax and the filters of minijinja, and no guesses: what is undefined is an error, nothing is escaped, the last line
/// end is kept.
fn environment<'source>() -> Result<Environment<'source>, Failure> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(|error| Failure::ours(&error))?);
    Ok(environment)
}

/// `nginx.conf.j2:3: self.adr is undefined`.
fn place(source: &Source, error: &Error) -> String {
    let what = match (error.kind(), failing(source, error)) {
        (ErrorKind::UndefinedError, Some(expression)) => format!("{expression} is undefined"),
        (kind, _) => error.detail().map_or(kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    match error.line() {
        Some(line) => format!("{}:{line}: {what}", source.path),
        None => format!("{}: {what}", source.path),
    }
}

/// The expression that failed.
fn failing<'a>(source: &'a Source, error: &Error) -> Option<&'a str> {
    let (text, mut range) = (&source.text, error.range()?);
    // Of an index minijinja tells the bracket alone.
    if text.get(range.clone())?.starts_with('[') {
        let is_part = |c: char| c.is_alphanumeric() || "_.[]'\"".contains(c);
        range.start = text[..range.start].trim_end_matches(is_part).len();
    }
    text.get(range).map(str::trim).filter(|expression| !expression.is_empty())
}

/// The names that there are where one is missing: those beside it, of the longest part of the expression that can be told;
/// where that is a variable of the template's own, those of a host, which most values of loops are.
fn known(source: &Source, error: &Error, environment: &Environment<'_>, values: &Value, context: &Context) -> String {
    let names_in = |parent: &str| {
        let value = environment.compile_expression_owned(parent.to_owned()).ok()?.eval(values).ok()?;
        let value = Some(value).filter(|value| !value.is_undefined())?;
        if let (ValueKind::Seq, Some(count)) = (value.kind(), value.len()) {
            return Some(format!("{parent} has {count} items, from 0"));
        }
        let names: Vec<String> = value.try_iter().ok()?.map(|name| name.to_string()).collect();
        Some(if names.is_empty() {
            format!("{parent} is empty")
        } else {
            format!("in {parent} are {}", names.join(", "))
        })
    };
    let of_host = |expression: &str| {
        let first = expression.split(['.', '[']).next()?;
        let is_own = !environment.template_from_str(&source.text).ok()?.undeclared_variables(false).contains(first);
        is_own.then(|| names_in("self"))?
    };
    let names = failing(source, error).and_then(|expression| {
        let mut parents = expression.rmatch_indices(['.', '[']).map(|(at, _)| &expression[..at]);
        parents.find_map(names_in).or_else(|| of_host(expression))
    });
    names.unwrap_or_else(|| format!("the names are {}; -D KEY=VALUE adds one", context.names().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::names::testing::context;
    use super::*;

    fn rendered(text: &str) -> Result<(Vec<String>, Vec<usize>), Failure> {
        let source = Source { path: "a.j2".to_owned(), text: text.to_owned() };
        render(&source, &context(&["web1", "web2", "web3"]), |host| format!("web{}", host + 1))
    }

    #[test]
    fn equal_texts_are_one_and_nothing_is_escaped_or_cut() {
        for (text, texts, of_hosts) in [
            ("", &[""][..], [0, 0, 0]),
            ("<{{ threads }}&\n\n", &["<8&\n\n"], [0, 0, 0]),
            ("{{ self.name }}", &["web1", "web2", "web3"], [0, 1, 2]),
            ("{{ self.name == 'web2' }}\n", &["False\n", "True\n"], [0, 1, 0]),
            ("{% for host in hosts %}{{ host.name }} {% endfor %}", &["web1 web2 web3 "], [0, 0, 0]),
            ("{% if self.role is defined %}{{ self.role }}{% else %}-{% endif %}", &["-"], [0, 0, 0]),
        ] {
            let (found, of_found) = rendered(text).unwrap();
            assert_eq!(
                (&found[..], &of_found[..]),
                (texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().as_slice(), &of_hosts[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_undefined_is_told_with_its_place_and_the_names_that_there_are() {
        for (text, expected, hint) in [
            (
                "a\n{{ thread }}",
                "a.j2:2: thread is undefined, for web1",
                "the names are hosts, self, threads; -D KEY=VALUE adds one",
            ),
            ("{{ self.adr }}", "a.j2:1: self.adr is undefined, for web1", "in self are facts, name"),
            (
                "{% for h in hosts %}{{ h.adr }}{% endfor %}",
                "a.j2:1: h.adr is undefined, for web1",
                "in self are facts, name",
            ),
            ("{{ self.facts.zone }}", "a.j2:1: self.facts.zone is undefined, for web1", "in self.facts are az"),
            ("{% if self.name != 'web1' %}{{ x }}{% endif %}", "a.j2:1: x is undefined, for web2", "the names are"),
            ("{% if self.role %}{% endif %}", "a.j2:1: self.role is undefined, for web1", "in self are facts, name"),
            ("{% for x in rolls %}{% endfor %}", "a.j2:1: rolls is undefined, for web1", "the names are"),
            ("{{ rols.web }}", "a.j2:1: rols.web is undefined, for web1", "the names are"),
            ("{{ hosts[5].name }}", "a.j2:1: hosts[5].name is undefined, for web1", "hosts has 3 items, from 0"),
            ("{{ hosts[0].adr }}", "a.j2:1: hosts[0].adr is undefined, for web1", "in hosts[0] are facts, name"),
        ] {
            let failure = rendered(text).unwrap_err();
            assert_eq!(failure.text(), expected);
            assert!(failure.advice().unwrap().starts_with(hint), "{failure:?}");
        }
    }

    #[test]
    fn what_is_no_template_is_told_with_its_line() {
        for (text, expected) in [
            ("a\n{{ x", "a.j2:2: syntax error: "),
            ("\n\n{% if true %}", "a.j2:3: syntax error: "),
            ("{{ threads | upp }}", "a.j2:1: unknown filter: "),
            ("{% include 'other' %}", "a.j2:1: template not found: "),
        ] {
            let failure = rendered(text).unwrap_err();
            assert!(failure.text().starts_with(expected), "{failure:?}");
        }
    }
}
