/**
 * What ml-matrix's decompositions ask of a matrix. The build hands them this one: the library's own has some two hundred
 * methods, of which no bundler can leave one out. Values lie in rows of float64, as there.
 */
export class SmallMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array[];

  constructor(rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
    this.data = Array.from({ length: rows }, () => new Float64Array(columns));
  }

  static from1DArray(rows: number, columns: number, values: ArrayLike<number>): SmallMatrix {
    const matrix = new SmallMatrix(rows, columns);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) matrix.data[i]![j] = values[i * columns + j]!;
    return matrix;
  }

  static checkMatrix(value: SmallMatrix): SmallMatrix {
    return value;
  }

  get(row: number, column: number): number {
    return this.data[row]![column]!;
  }

  set(row: number, column: number, value: number): this {
    this.data[row]![column] = value;
    return this;
  }

  isEmpty(): boolean {
    return this.rows === 0 || this.columns === 0;
  }

  isSquare(): boolean {
    return this.rows === this.columns;
  }

  clone(): SmallMatrix {
    const copy = new SmallMatrix(this.rows, this.columns);
    for (let i = 0; i < this.rows; i++) copy.data[i]!.set(this.data[i]!);
    return copy;
  }

  transpose(): SmallMatrix {
    const turned = new SmallMatrix(this.columns, this.rows);
    for (let i = 0; i < this.rows; i++) {
      const row = this.data[i]!;
      for (let j = 0; j < this.columns; j++) turned.data[j]![i] = row[j]!;
    }
    return turned;
  }
}

export default SmallMatrix;
