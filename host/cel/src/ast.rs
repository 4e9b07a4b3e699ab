//! The parsed expression, before names are checked.

/// A part of an expression, with its place in the source.
#[derive(Clone, Debug)]
pub(crate) struct Ast {
    /// Offset in bytes of the operator, or of the first character.
    pub(crate) at: usize,
    /// Largest number of parts inside each other, this one included.
    pub(crate) depth: u16,
    pub(crate) expr: Expr,
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Literal(Literal),
    Name(String),
    /// `operand.member`; `at` of the part is that of the member.
    Member(Box<Ast>, String),
    /// `has(operand.member)`.
    Has(Box<Ast>, String),
    /// `operand[index]`.
    Index(Box<Ast>, Box<Ast>),
    /// `function(arguments)`, or `target.function(arguments)`.
    Call {
        function: String,
        target: Option<Box<Ast>>,
        arguments: Vec<Ast>,
    },
    List(Vec<Ast>),
    Map(Vec<(Ast, Ast)>),
    Not(Box<Ast>),
    Negate(Box<Ast>),
    /// `a && b && c`: one part, so that a long chain is not deep.
    And(Vec<Ast>),
    Or(Vec<Ast>),
    /// `condition ? yes : no`.
    Conditional(Box<(Ast, Ast, Ast)>),
    Binary(Operator, Box<(Ast, Ast)>),
    /// `range.all(variable, body)` and the like.
    Comprehension {
        macro_: Macro,
        range: Box<Ast>,
        variable: String,
        /// Conditions of `all`, `exists`, `exists_one` and `filter`, and of `map` with three arguments.
        predicate: Option<Box<Ast>>,
        /// The result of `map`.
        transform: Option<Box<Ast>>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// The macros that evaluate a part of the expression for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Macro {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "filter" => Self::Filter,
            "map" => Self::Map,
            _ => return None,
        })
    }
}
