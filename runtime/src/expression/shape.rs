//! What an expression is made of.

use cel::{
    common::ast::{EntryExpr, Expr},
    parser::Expression,
};

/// A walk over an expression.
#[derive(Debug, Default)]
pub(super) struct Shape<'e> {
    /// The most expressions inside of each other.
    pub(super) depth: usize,
    /// The most loops inside of each other.
    pub(super) loops: usize,
    /// Fields that are read by name, of variables that are named directly.
    pub(super) fields: Vec<(&'e str, &'e str)>,
    /// Variables that are used as a whole.
    pub(super) whole: Vec<&'e str>,
    /// Functions that are called by name.
    pub(super) functions: Vec<&'e str>,
    /// What the loops call their items.
    items: Vec<&'e str>,
}

// === impl Shape ===

impl<'e> Shape<'e> {
    pub(super) fn of(expression: &'e Expression) -> Self {
        let mut shape = Self::default();
        shape.walk(expression, 1, 0);
        shape
    }

    fn walk(&mut self, expression: &'e Expression, depth: usize, loops: usize) {
        self.depth = self.depth.max(depth);
        self.loops = self.loops.max(loops);
        match &expression.expr {
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if !self.items.contains(&name.as_str()) => {
                    self.fields.push((name, &select.field));
                }
                _ => self.walk(&select.operand, depth + 1, loops),
            },
            Expr::Ident(name) => {
                if !name.starts_with('@') && !self.items.contains(&name.as_str()) {
                    self.whole.push(name);
                }
            }
            Expr::Comprehension(all) => {
                self.walk(&all.iter_range, depth + 1, loops);
                self.loops = self.loops.max(loops + 1);
                let names = self.items.len();
                self.items.push(&all.iter_var);
                self.items.extend(all.iter_var2.as_deref());
                for part in [&all.accu_init, &all.loop_cond, &all.loop_step, &all.result] {
                    self.walk(part, depth + 1, loops + 1);
                }
                self.items.truncate(names);
            }
            Expr::Call(call) => {
                if call
                    .func_name
                    .starts_with(|c: char| c.is_ascii_alphabetic())
                {
                    self.functions.push(&call.func_name);
                }
                let target = call.target.iter().map(|target| &**target);
                for part in target.chain(&call.args) {
                    self.walk(part, depth + 1, loops);
                }
            }
            Expr::List(list) => {
                for part in &list.elements {
                    self.walk(part, depth + 1, loops);
                }
            }
            Expr::Map(map) => self.entries(&map.entries, depth, loops),
            Expr::Struct(made) => self.entries(&made.entries, depth, loops),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entries(
        &mut self,
        entries: &'e [cel::common::ast::IdedEntryExpr],
        depth: usize,
        loops: usize,
    ) {
        for entry in entries {
            match &entry.expr {
                EntryExpr::StructField(field) => self.walk(&field.value, depth + 1, loops),
                EntryExpr::MapEntry(entry) => {
                    self.walk(&entry.key, depth + 1, loops);
                    self.walk(&entry.value, depth + 1, loops);
                }
            }
        }
    }
}
