//! Parses an expression (cel-spec, doc/langdef.md, "Syntax"), and expands the macros.

mod macros;

use crate::ast::{Ast, Expr, Literal, Macro, Operator};
use crate::error::{Mistake, quoted};
use crate::lexer::{Placed, Token, tokens};
use crate::limits::{MAX_DEPTH, MAX_ELEMENTS, MAX_NODES, MAX_SOURCE_BYTES};

/// Names that the specification reserves.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Operators from the loosest to the tightest, of those between `&&` and the unary ones.
const LEVELS: [&[(&str, Operator)]; 3] = [
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterEqual),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Remainder),
    ],
];

/// Parses a whole expression.
pub(crate) fn parse(source: &str) -> Result<Ast, Mistake> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Mistake::new(
            0,
            format!(
                "the expression has {} bytes, more than {MAX_SOURCE_BYTES}",
                source.len()
            ),
            "write a plugin for a longer one",
        ));
    }
    let mut parser = Parser {
        tokens: tokens(source)?,
        next: 0,
        nodes: 0,
        open: 0,
    };
    let ast = parser.expression()?;
    let (token, at) = parser.peek();
    match token {
        Token::End => Ok(ast),
        _ => Err(parser.unexpected(at, "an operator or the end")),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    /// Parts so far.
    nodes: usize,
    /// Expressions that are being parsed inside each other.
    open: u16,
}

impl Parser {
    fn peek(&self) -> (&Token, usize) {
        // The last token is the end, which `take` never passes.
        let placed = self.tokens.get(self.next).or_else(|| self.tokens.last());
        placed.map_or((&Token::End, 0), |placed| (&placed.token, placed.at))
    }

    fn take(&mut self) -> (Token, usize) {
        let (token, at) = self.peek();
        let token = token.clone();
        if token != Token::End {
            self.next += 1;
        }
        (token, at)
    }

    /// Takes a symbol or the keyword `in` if it comes next. Returns its place.
    fn accept(&mut self, symbol: &str) -> Option<usize> {
        let (token, at) = self.peek();
        let is_next = match token {
            Token::Symbol(next) => *next == symbol,
            Token::Name(name) => symbol == "in" && name == symbol,
            _ => false,
        };
        is_next.then(|| {
            self.next += 1;
            at
        })
    }

    fn expect(&mut self, symbol: &str) -> Result<usize, Mistake> {
        self.accept(symbol).ok_or_else(|| {
            let (_, at) = self.peek();
            self.unexpected(at, &format!("`{symbol}`"))
        })
    }

    fn unexpected(&self, at: usize, expected: &str) -> Mistake {
        let (token, _) = self.peek();
        let found = match token {
            Token::End => "the end of the expression".to_owned(),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::Name(name) => quoted(name),
            Token::Text(_) => "a text".to_owned(),
            Token::Int(_) | Token::UInt(_) | Token::Double(_) => "a number".to_owned(),
        };
        let remedy = match token {
            Token::Symbol("?") => "optional values (`.?`) are not supported: guard with `has(…)`",
            Token::Symbol("{") => "messages are not supported",
            _ => "correct the syntax",
        };
        Mistake::new(at, format!("expected {expected}, found {found}"), remedy)
    }

    fn node(&mut self, at: usize, inner: u16, expr: Expr) -> Result<Ast, Mistake> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Mistake::new(
                at,
                format!("the expression has more than {MAX_NODES} operators, names and literals"),
                "write a plugin for a longer one",
            ));
        }
        let depth = inner.saturating_add(1);
        if depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        Ok(Ast { at, depth, expr })
    }

    /// Parses what is inside another expression, of which only so many are allowed.
    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        self.open += 1;
        if self.open > MAX_DEPTH {
            let (_, at) = self.peek();
            return Err(too_deep(at));
        }
        let parsed = parse(self);
        self.open -= 1;
        parsed
    }

    fn expression(&mut self) -> Result<Ast, Mistake> {
        self.nested(|parser| {
            let condition = parser.chain("||", Expr::Or, |parser| {
                parser.chain("&&", Expr::And, |parser| parser.binary(&LEVELS))
            })?;
            let Some(at) = parser.accept("?") else {
                return Ok(condition);
            };
            let yes = parser.expression()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            let depth = condition.depth.max(yes.depth).max(no.depth);
            parser.node(at, depth, Expr::Conditional(Box::new((condition, yes, no))))
        })
    }

    /// Parses operands that one logical operator joins.
    fn chain(
        &mut self,
        symbol: &str,
        join: fn(Vec<Ast>) -> Expr,
        operand: impl Fn(&mut Self) -> Result<Ast, Mistake>,
    ) -> Result<Ast, Mistake> {
        let first = operand(self)?;
        let Some(at) = self.accept(symbol) else {
            return Ok(first);
        };
        let mut depth = first.depth;
        let mut operands = vec![first];
        loop {
            let next = operand(self)?;
            depth = depth.max(next.depth);
            operands.push(next);
            if self.accept(symbol).is_none() {
                return self.node(at, depth, join(operands));
            }
        }
    }

    /// Parses operators of these levels, all of which group from the left.
    fn binary(&mut self, levels: &[&[(&str, Operator)]]) -> Result<Ast, Mistake> {
        let Some((level, tighter)) = levels.split_first() else {
            return self.unary();
        };
        let mut left = self.binary(tighter)?;
        loop {
            let accepted = level
                .iter()
                .find_map(|(symbol, operator)| Some((self.accept(symbol)?, *operator)));
            let Some((at, operator)) = accepted else {
                return Ok(left);
            };
            let right = self.binary(tighter)?;
            let depth = left.depth.max(right.depth);
            left = self.node(at, depth, Expr::Binary(operator, Box::new((left, right))))?;
        }
    }

    fn unary(&mut self) -> Result<Ast, Mistake> {
        if let Some(at) = self.accept("!") {
            let operand = self.nested(Self::unary)?;
            return self.node(at, operand.depth, Expr::Not(Box::new(operand)));
        }
        if let Some(at) = self.accept("-") {
            // The smallest integer has no positive counterpart, so its sign belongs to the literal.
            if let (Token::Int(value), _) = self.peek() {
                let value = 0_i64.checked_sub_unsigned(*value);
                let value = value.ok_or_else(|| too_large(at))?;
                self.next += 1;
                let literal = self.node(at, 0, Expr::Literal(Literal::Int(value)))?;
                return self.members(literal);
            }
            let operand = self.nested(Self::unary)?;
            return self.node(at, operand.depth, Expr::Negate(Box::new(operand)));
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    /// Parses the members, indexes and calls after an expression.
    fn members(&mut self, mut operand: Ast) -> Result<Ast, Mistake> {
        loop {
            if self.accept(".").is_some() {
                let (token, at) = self.peek();
                let Token::Name(name) = token.clone() else {
                    return Err(self.unexpected(at, "a name"));
                };
                if is_keyword(&name) {
                    return Err(self.unexpected(at, "a name"));
                }
                self.next += 1;
                operand = match self.accept("(") {
                    Some(_) => self.method(operand, name, at)?,
                    None => {
                        let depth = operand.depth;
                        self.node(at, depth, Expr::Member(Box::new(operand), name))?
                    }
                };
            } else if let Some(at) = self.accept("[") {
                let index = self.expression()?;
                self.expect("]")?;
                let depth = operand.depth.max(index.depth);
                let expr = Expr::Index(Box::new(operand), Box::new(index));
                operand = self.node(at, depth, expr)?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn method(&mut self, target: Ast, function: String, at: usize) -> Result<Ast, Mistake> {
        let arguments = self.arguments()?;
        if let Some(macro_) = Macro::from_name(&function) {
            return self.comprehension(macro_, target, arguments, at);
        }
        let depth = deepest(&arguments).max(target.depth);
        let call = Expr::Call {
            function,
            target: Some(Box::new(target)),
            arguments,
        };
        self.node(at, depth, call)
    }

    /// Parses arguments up to the closing parenthesis.
    fn arguments(&mut self) -> Result<Vec<Ast>, Mistake> {
        let mut arguments = Vec::new();
        if self.accept(")").is_some() {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.accept(",").is_none() {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn primary(&mut self) -> Result<Ast, Mistake> {
        let (token, at) = self.peek();
        let literal = match token {
            Token::Int(value) => Literal::Int(i64::try_from(*value).map_err(|_| too_large(at))?),
            Token::UInt(value) => Literal::UInt(*value),
            Token::Double(value) => Literal::Double(*value),
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Name(name) => match &**name {
                "null" => Literal::Null,
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                _ => return self.name(),
            },
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => {
                self.next += 1;
                return self.list(at);
            }
            Token::Symbol("{") => {
                self.next += 1;
                return self.map(at);
            }
            Token::Symbol(_) | Token::End => return Err(self.unexpected(at, "an expression")),
        };
        self.next += 1;
        self.node(at, 0, Expr::Literal(literal))
    }

    fn name(&mut self) -> Result<Ast, Mistake> {
        let (_, at) = self.peek();
        let (Token::Name(name), _) = self.take() else {
            return Err(self.unexpected(at, "a name"));
        };
        if RESERVED.contains(&&*name) || is_keyword(&name) {
            return Err(Mistake::new(
                at,
                format!("{} is a reserved word", quoted(&name)),
                "use another name",
            ));
        }
        if self.accept("(").is_none() {
            return self.node(at, 0, Expr::Name(name));
        }
        let arguments = self.arguments()?;
        if name == "has" {
            return self.has(arguments, at);
        }
        let depth = deepest(&arguments);
        let call = Expr::Call {
            function: name,
            target: None,
            arguments,
        };
        self.node(at, depth, call)
    }

    fn list(&mut self, at: usize) -> Result<Ast, Mistake> {
        let mut elements = Vec::new();
        while self.accept("]").is_none() {
            elements.push(self.expression()?);
            check_elements(elements.len(), at)?;
            if self.accept(",").is_none() {
                self.expect("]")?;
                break;
            }
        }
        let depth = deepest(&elements);
        self.node(at, depth, Expr::List(elements))
    }

    fn map(&mut self, at: usize) -> Result<Ast, Mistake> {
        let mut entries: Vec<(Ast, Ast)> = Vec::new();
        while self.accept("}").is_none() {
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            entries.push((key, value));
            check_elements(entries.len(), at)?;
            if self.accept(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        let depths = entries
            .iter()
            .map(|(key, value)| key.depth.max(value.depth));
        let depth = depths.max().unwrap_or(0);
        self.node(at, depth, Expr::Map(entries))
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "true" | "false" | "null" | "in")
}

fn deepest(parts: &[Ast]) -> u16 {
    parts.iter().map(|part| part.depth).max().unwrap_or(0)
}

fn check_elements(count: usize, at: usize) -> Result<(), Mistake> {
    if count <= MAX_ELEMENTS {
        return Ok(());
    }
    Err(Mistake::new(
        at,
        format!("more than {MAX_ELEMENTS} elements"),
        "use fewer, or a pattern with `matches`",
    ))
}

fn too_deep(at: usize) -> Mistake {
    Mistake::new(
        at,
        format!("more than {MAX_DEPTH} expressions are inside each other"),
        "use fewer parentheses and operators in a row; `&&` and `||` have no such bound",
    )
}

fn too_large(at: usize) -> Mistake {
    Mistake::new(
        at,
        "the integer is outside of 64 bits with sign",
        "write `u` after an unsigned one",
    )
}

#[cfg(test)]
mod tests;
